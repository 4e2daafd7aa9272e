"""Telling people by mail or webhook when something changes, with a daily digest; alert rules and a dashboard as files.

Modules: `changes` (what is new and what is over, and what waits to be told), `delivery` (mail and webhook), `bill_mail`
(bills to members), `watcher` (the process), and `command` (`authority alerts`).
"""
