"""What an export tells people: the model card, the HTML report, and where the model comes from."""
