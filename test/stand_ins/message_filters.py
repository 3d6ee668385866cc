"""Of ROS's message_filters the one filter that others are plugged into."""


class Subscriber:
    """`sub` is its subscription, and whoever registers is called with each message, and with what
    he gave besides."""

    def __init__(self, node, message_type, topic, **options):
        self._waiting = []
        self.sub = node.create_subscription(message_type, topic, self._came, **options)

    def registerCallback(self, callback, *besides):
        self._waiting.append(lambda message: callback(message, *besides))

    def _came(self, message):
        for tell in self._waiting:
            tell(message)
