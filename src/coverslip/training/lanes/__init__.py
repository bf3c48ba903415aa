"""Many trainings in one pass. Read `coverslip.training.lanes.stack.Stack` first."""

from coverslip.training.lanes.keys import can_stack, passes, pays, stack_key
from coverslip.training.lanes.lane_epoch import LaneEpoch
from coverslip.training.lanes.stack import Stack

__all__ = ["LaneEpoch", "Stack", "can_stack", "passes", "pays", "stack_key"]
