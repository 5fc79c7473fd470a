"""The pages of the admin site: a module for each. Django looks here for them; `model_list` brings the others along."""

from models_admin.admin import model_list

__all__ = ["model_list"]
OFFERS = ("request_pages",)  # to other applications
