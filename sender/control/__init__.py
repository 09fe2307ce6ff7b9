"""The sender's control API and the operator's page: docs/control.md."""
