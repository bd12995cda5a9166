"""The record on its way to other systems: syslog, files of JSON lines, a webhook. See docs/events.md."""
