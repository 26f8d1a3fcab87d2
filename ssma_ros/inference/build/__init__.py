# SPDX-License-Identifier: Apache-2.0
"""Making a frozen network: export, precision, engines, and the check against float32."""
