"""The systems under test. This file and its neighbours import nothing: the systems' own processes load them."""
