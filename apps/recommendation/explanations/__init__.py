"""Why a list was as it was."""
