"""Train many networks in one pass. Start reading at `coverslip.training.lanes.stack.Stack`."""

from coverslip.training.lanes.keys import can_stack, group_into_passes, stack_key, stacking_is_faster
from coverslip.training.lanes.metrics import LaneMetrics
from coverslip.training.lanes.stack import Stack

__all__ = ["LaneMetrics", "Stack", "can_stack", "group_into_passes", "stack_key", "stacking_is_faster"]
