"""What an export tells people: the model card, the HTML report, and where the model comes from."""

__all__ = ["html_page", "model_card", "provenance"]
