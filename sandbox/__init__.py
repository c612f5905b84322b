"""The sandbox processor: plays a card processor and is the independent witness of what really happened."""
