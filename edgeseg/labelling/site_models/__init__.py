"""The models of a site as labelling asks for them: the bundle without torch, or a finished run."""

from edgeseg.labelling.site_models.best_model import open_best_model
from edgeseg.labelling.site_models.model_view import ModelView, SiteModel

__all__ = ["ModelView", "SiteModel", "open_best_model"]
