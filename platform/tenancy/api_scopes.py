"""What an API key may be allowed to do."""

API_SCOPES = {
    "events:write": "send events",
    "items:read": "read the catalogue",
    "items:write": "change the catalogue",
    "recommendations:read": "ask for recommendations",
    "batches:read": "follow batches and download their files, which name subjects by their raw ids",
    "batches:write": "start and cancel batches of recommendations",
    "decisions:read": "read decisions and their outcomes",
    "models:read": "see training runs and model versions",
    "models:write": "start training, promote, roll back",
}
