"""The ROS 2 side: convert, pair, call the core, publish."""
