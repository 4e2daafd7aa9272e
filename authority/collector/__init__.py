"""The collector: checks what gateways sign, logs it, and answers with signed receipts, over HTTPS and MQTT."""
