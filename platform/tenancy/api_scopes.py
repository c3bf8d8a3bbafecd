"""What an API key may be allowed to do."""

API_SCOPES = {
    "events:write": "send events",
    "identities:read": "see which ids are one person",
    "identities:write": "tie ids that are one person, and take them apart",
    "items:read": "read the catalogue",
    "items:write": "change the catalogue",
    "filters:read": "read saved filters",
    "filters:write": "change saved filters",
    "recommendations:read": "ask for recommendations",
    "rules:read": "read rules, their history, and preview them",
    "rules:write": "change, publish and remove rules",
    "risk-rules:read": "read the risk desk's rules and lists, try and back-test rules",
    "risk-rules:write": "change, publish and remove the risk desk's rules and lists",
    "batches:read": "follow batches and download their files, which name subjects by their raw ids",
    "batches:write": "start and cancel batches of recommendations",
    "risk:read": "read assessments, alerts' figures and monitoring",
    "risk:write": "have transactions assessed, and say what became known of them",
    "decisions:read": "read decisions and their outcomes",
    "models:read": "see training runs and model versions",
    "models:write": "start training, promote, roll back",
}
