"""First part: which card this is, and how fast it multiplies large bf16 matrices, beside what is published."""

import torch
import transformers
from inputs import PEAK_TFLOPS, Call

call = Call()
name = torch.cuda.get_device_name(call.device) if call.on_gpu else "CPU (these figures say nothing of a GPU)"
size = 8192 if call.on_gpu else 256
a, b = (torch.randn(size, size, device=call.device, dtype=torch.bfloat16) for _ in range(2))
call.seconds(lambda: a @ b)
seconds = call.seconds(lambda: [a @ b for _ in range(20)]) / 20
call.record(
    "card",
    name=name,
    torch=torch.__version__,
    transformers=transformers.__version__,
    published_tflops=next((value for key, value in PEAK_TFLOPS.items() if key in name), None),
    measured_tflops=2 * size**3 / seconds / 1e12,
    gib=torch.cuda.get_device_properties(call.device).total_memory / 2**30 if call.on_gpu else None,
)
