"""What an export tells people: the model card, the HTML report, and where the model comes from."""

__all__ = ["html_page", "library_table", "model_card", "provenance"]
