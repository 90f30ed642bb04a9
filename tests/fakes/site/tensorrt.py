"""Found by `import tensorrt` in processes that tests start: becomes a stand-in."""

from tests.fakes.in_child import stand_in

stand_in(__name__)
