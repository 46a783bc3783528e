"""The mailbox: orders stay until every worker has taken them."""

import asyncio

from trainables.on_ray.mailbox import Mailbox
from trainables.on_ray.orders import Save, TrainEpoch


def test_a_worker_that_lags_still_finds_its_order() -> None:
    """The first worker's result lets the next order be posted before the other has taken this one."""

    async def scenario() -> list[object]:
        mailbox = Mailbox(workers=2)
        await mailbox.post(1, Save())
        first = await mailbox.order(1)
        await mailbox.post(2, TrainEpoch())
        lagging = await asyncio.wait_for(mailbox.order(1), timeout=5)
        return [first, lagging, await mailbox.order(2), await mailbox.order(2)]

    assert asyncio.run(scenario()) == [Save(), Save(), TrainEpoch(), TrainEpoch()]
