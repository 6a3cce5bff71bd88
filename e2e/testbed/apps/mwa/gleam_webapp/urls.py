"""Where what is."""
from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.urls import path

from candidates import views

urlpatterns = [
    path("", views.index),
    path("near/", views.near),
    path("fail/", views.fail),
    path("accounts/login/", LoginView.as_view()),
    path("admin/", admin.site.urls),
]
