"""The pages of the admin site: a module for each. Django imports this one; `model_list` imports the others."""

from models_admin.admin import model_list

__all__ = ["model_list"]
# The modules that other applications may import.
OFFERS = ("list_pages", "moments", "request_pages")
