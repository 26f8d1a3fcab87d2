# SPDX-License-Identifier: Apache-2.0
"""OpenVINO and ONNX Runtime, imported so that they call nobody and leave no identifier in the home folder."""

from __future__ import annotations

import os
import sys
from typing import Any

from ssma_ros.errors import SsmaError

_TELEMETRY = "openvino_telemetry"


def import_onnxruntime() -> Any:
    """The package ``onnxruntime``.

    Its wheels for Linux (1.32 at least) make a device id and a database of events in ``~/.cache/Microsoft`` at import,
    to be uploaded, unless this variable of the environment says otherwise; a value that is set already stands.

    Raises:
        SsmaError: ONNX Runtime is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError:
        raise SsmaError(
            "backend onnxruntime: package onnxruntime is not installed, try 'pip install onnxruntime'"
        ) from None
    return onnxruntime


def import_openvino() -> Any:
    """The package ``openvino``, without the message that its import sends.

    Its import makes an id file in the home folder and looks up an analytics host as long as ``openvino_telemetry`` is
    installed, which is a requirement of its wheel. Where that package cannot be imported OpenVINO takes its own stub
    (``openvino/tools/ovc/telemetry_stub.py``), so it is hidden while OpenVINO is imported and found again afterwards.

    Raises:
        SsmaError: OpenVINO is not installed.
    """
    hidden = {name: module for name, module in sys.modules.items() if name.split(".")[0] == _TELEMETRY}
    for name in hidden:
        del sys.modules[name]
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # the documented way to make an import fail
    try:
        import openvino
    except ImportError:
        raise SsmaError("backend openvino: package openvino is not installed, try 'pip install openvino'") from None
    finally:
        del sys.modules[_TELEMETRY]
        sys.modules.update(hidden)
    return openvino
