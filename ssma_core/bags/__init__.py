"""rosbag2 recordings without ROS: messages, images, and pairs of images by their stamps."""
