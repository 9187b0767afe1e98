"""torch's log-softmax on the CPU, its sum added in f64. The kernel (SoftMaxKernel.cpp, vec_log_softmax_lastdim) adds the exponentials of a row in as many sums as a
vector has lanes, one term behind the other in f32: behind the largest, which is 1, terms below half of its last bit (2^-24) are lost, and all that is lost is lost on
one side, so a vocabulary's tail makes every log-probability too large. torch.logsumexp adds pairwise and does not."""

#: elements that are held in f64 at a time
AT_A_TIME = 2**22


class LogSoftmax:
    """torch's log-softmax on the CPU, watched as long as this is held; behind it torch's own kernel is back."""

    def __init__(self, exact):
        """@param exact its sum is added in f64"""
        import torch

        #: was it called where gradients go through it? What is only logged (an entropy) is no part of a loss
        self.in_loss = False
        self.held = torch.library.Library("aten", "IMPL")
        # both lie below autograd; BackendSelect above every device's own kernel, which is called from there
        self.held.impl("_log_softmax", self.noting(added_in_f64 if exact else as_it_is), "CPU" if exact else "BackendSelect")

    def noting(self, kernel):
        import weakref

        import torch

        mine = weakref.ref(self)

        def log_softmax(x, dim, half_to_float):
            if x.is_cpu and x.requires_grad and torch.is_grad_enabled():
                mine().in_loss = True
            return kernel(x, dim, half_to_float)

        return log_softmax


def as_it_is(x, dim, half_to_float):
    import torch

    with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.BackendSelect)):
        return torch.ops.aten._log_softmax.default(x, dim, half_to_float)


def added_in_f64(x, dim, half_to_float):
    import torch

    rows = x.movedim(dim, -1)
    flat = rows.reshape(-1, rows.shape[-1]) if rows.dim() > 0 else rows.reshape(1, 1)
    out = torch.empty_like(flat)
    for part, into in zip(flat.split(max(1, AT_A_TIME // flat.shape[-1])), out.split(max(1, AT_A_TIME // flat.shape[-1]))):
        wide = part.double()
        into.copy_(wide - torch.logsumexp(wide, -1, keepdim=True))
    return out.reshape(rows.shape).movedim(-1, dim).contiguous()
