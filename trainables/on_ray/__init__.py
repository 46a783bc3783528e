"""Runs as trials of Ray Tune, on worker groups of Ray Train that are kept from one trial to the next."""
