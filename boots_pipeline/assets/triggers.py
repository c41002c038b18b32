"""When a derived asset runs by itself: the net under the syncs, for documents that changed in any other way.

A sync's own run computes everything downstream in the same process, and this condition counts that as handled.
"""

import dagster as dg

# Not eager(): it waits until every upstream partition exists, and no organisation connects every provider. Not while
# anything runs: a version that moves meanwhile is seen at the next tick, because the assets look in the tables for
# what there is to do.
_changed = (
    dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed()).since_last_handled()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
)

# And still so a tick later: a tick reads events up to its beginning, and what is in progress only when it gets there.
# What a run computed in between was news, and in progress no longer: a roll-up that nobody needed, on a busy machine.
inputs_changed = (_changed & ~_changed.newly_true()).with_label("inputs changed")
