"""message_filters' Subscriber, after ros2/message_filters, src/message_filters/__init__.py."""


class Subscriber:
    def __init__(self, *args, **kwargs):
        self.callbacks = {}
        self.node = args[0]
        self.topic = args[2]
        self.sub = self.node.create_subscription(*args[1:], self.callback, **kwargs)

    def registerCallback(self, cb, *args):
        self.callbacks[len(self.callbacks)] = (cb, args)
        return len(self.callbacks) - 1

    def callback(self, msg):
        for cb, args in self.callbacks.values():
            cb(msg, *args)
