# SPDX-License-Identifier: Apache-2.0
"""``ssma assemble``: a fusion network from trained unimodal networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

NAME = "assemble"
HELP = "put a fusion network together from trained unimodal networks, such as Average or the start of LateFusion"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``ssma assemble``."""
    parser.add_argument("network", metavar="NETWORK",
                        help="average, maximum (complete); latefusion, lfc, cmode, ssma (to be trained further)")
    parser.add_argument("members", nargs="+", metavar="STREAM=MODEL",
                        help="name of a stream and the unimodal model for it, in the order that the streams shall have")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="model folder to write")
    parser.add_argument("--seed", type=int, default=1, help="of the parts that no unimodal model has (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Write the model folder and say what is still to be trained."""
    from ssma_ros.folders import WholeFolder
    from ssma_ros.inference import locate_model
    from ssma_ros.models import save_model
    from ssma_ros.training.assembly import assemble

    members = {stream: locate_model(model) for stream, model in _parse_members(args.members).items()}
    output = WholeFolder(args.output, what="model", replace_if="contract.json", source=list(members.values()))
    network, contract, missing = assemble(args.network, members, seed=args.seed)
    with output as folder:
        save_model(network, contract, folder)
    print(f"{network.name} of {', '.join(contract.modalities)}: {args.output}")
    if missing:
        parts = sorted({name.partition(".")[0] for name in missing})
        print(f"not trained yet: {', '.join(parts)}; set 'initialize: {args.output}' in a training configuration")
    return 0


def _parse_members(texts: list[str]) -> dict[str, str]:
    from ssma_ros.errors import SsmaError

    members: dict[str, str] = {}
    for text in texts:
        stream, separator, model = text.partition("=")
        if not (stream and separator and model):
            raise SsmaError(f"assemble: '{text}' is not a member, expected STREAM=MODEL such as rgb=runs/rgb/model")
        if stream in members:
            raise SsmaError(f"assemble: stream '{stream}' is given twice, expected each once")
        members[stream] = model
    return members
