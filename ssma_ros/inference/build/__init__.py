"""Making a frozen network: export, precision, engines, and the check against float32."""
