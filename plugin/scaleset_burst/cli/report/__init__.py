"""`scaleset-burst report`: lines are read and checked, made into a picture, and drawn on one page."""
