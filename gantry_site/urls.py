"""The site's pages and API."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from chat.api import router
from chat.feedback_api import router as feedback_router
from gantry_site import refusals
from gantry_site.sign_in_pages import AdminSignInForm, SignInForm
from models_admin.admin.request_pages import redirect_former as former_requests
from models_admin.api import description
from models_admin.api.app import api
from models_admin.api.request_routes import router as requests_router

api.add_router("", router)
api.add_router("", feedback_router)
api.add_router("", requests_router)
admin.site.login_form = AdminSignInForm
sign_in = LoginView.as_view(authentication_form=SignInForm, redirect_authenticated_user=True)
signed_out = LoginView.as_view(
    authentication_form=SignInForm,
    redirect_authenticated_user=True,
    extra_context={"signed_out": True},
    http_method_names=["get", "head"],
)

handler400 = refusals.bad_request
handler500 = refusals.server_error

urlpatterns = [
    path("accounts/login/", sign_in, name="login"),
    path("accounts/signed-out/", signed_out, name="signed-out"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("admin/models_admin/wish/<path:rest>", former_requests),
    path("admin/models_admin/wish/", former_requests),
    path("admin/", admin.site.urls),
    path("api/docs", description.view(api), name="api-docs"),
    path("api/", api.urls),
    path("tokens/", include("gateway.token_pages")),
    path("ws/<path:rest>", refusals.socket_over_http),
    path("", include("chat.urls")),
]
