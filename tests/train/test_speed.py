from tasks.train.loop import LogRow, Report
from tasks.train.speed import Speed


def test_speed_line_counts_since_the_last_line():
    now = [0.0]
    speed = Speed(20, clock=lambda: now[0], seconds=10.0)
    lines = []
    for done in range(1, 7):
        now[0] += 5.0
        row = LogRow(step=done, epoch=0, loss=1 / done, learning_rate=1e-5, gradient_norm=1.0, language="fi")
        lines.append(
            speed.line(Report(done, row, 8, num_tokens=1000 * done, num_slots=1250 * done, peak_bytes=2 * 10**9))
        )
    assert lines[0] is lines[2] is lines[4] is None
    load = "padding 20.0%, memory 2.0 GB at most"
    assert lines[1] == f"step 2 of 20: loss 0.5000, 1.6 examples/s, 300 tokens/s, {load}, about 90 s left"
    assert lines[3] == f"step 4 of 20: loss 0.2500, 1.6 examples/s, 700 tokens/s, {load}, about 80 s left"
