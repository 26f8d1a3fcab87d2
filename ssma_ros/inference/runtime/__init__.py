# SPDX-License-Identifier: Apache-2.0
"""Running a frozen network: one protocol and a backend each."""
