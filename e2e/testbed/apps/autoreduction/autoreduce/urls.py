"""Where what is."""
from django.urls import path

from reduction_viewer import views

urlpatterns = [path("", views.index), path("runs/<int:number>/", views.run)]
