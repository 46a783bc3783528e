"""Runs as Ray Tune trials on Ray Train worker groups that outlive them."""
