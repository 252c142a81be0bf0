"""The optimizer on the manifold of Tucker tensors: step, adaptation cycle, and the replacement of parameters.

One ordinary backward pass gives ∂L/∂C and ∂L/∂U_i; `manifold.project` turns them into orthonormal coordinates of the
Riemannian gradient, a subclass keeps its momentum or moments in those coordinates, `manifold.retract` takes the step
and the state is `carried` along (`rank_change.Transport`, where ranks change).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from tuckerlab.errors import CheckpointError, DivergedError, TuckerlabError, is_whole
from tuckerlab.tucker.batched_step import Batch, Stack, batches
from tuckerlab.tucker.groups import Entry, Model, Weight, parameters_of, tucker_layers, weights_of
from tuckerlab.tucker.manifold import Point, Tangent, carried, full_precision, mode_roots, project, retract
from tuckerlab.tucker.rank_change import Transport, grown, truncated
from tuckerlab.tucker.rank_policy import Fixed, RankPolicy, Spectrum
from tuckerlab.tucker.tensor import left_singular, unfold
from tuckerlab.tucker.weight import TuckerLayer

Parameters = Sequence[nn.Parameter]
State = dict[str, Tangent]  # of one weight: its momentum or moments, by name
TINY = 1e-30  # what norms are divided by at least


class TuckerOptimizer(Optimizer):
    """What the optimizers share: the step, the adaptation cycle, and the replacement of parameters.

    `model` is a module, or a list of param groups whose "params" are modules or parameters; the core and the factors
    of a Tucker layer, which move together, belong in one group. Every `adapt_every` steps the weights are truncated to
    what `ranks` chooses and grown again where it says so; `ranks` may be exchanged at any time. A rank change replaces
    parameters, in the module and in the param groups: what holds parameters by itself (DistributedDataParallel, a
    moving average) must be made anew after one, or be given `Fixed()` ranks.
    """

    # names of the state that is a tangent vector (the first drives growth), and of entrywise second moments
    vectors: ClassVar[tuple[str, ...]]
    squares: ClassVar[tuple[str, ...]] = ()
    evaluations: ClassVar[int] = 1  # of the gradient, in a step

    def __init__(self, model: Model, defaults: dict[str, Any], ranks: RankPolicy | None, adapt_every: int) -> None:
        if not isinstance(model, nn.Module | Iterable):
            raise TuckerlabError(f"{type(self).__name__}({model!r}): give it a network, param groups, or parameters")
        groups: list[Any] = [model] if isinstance(model, nn.Module) else list(model)
        if not is_whole(adapt_every) or adapt_every < 1:
            raise TuckerlabError(f"adapt_every {adapt_every}: allowed are whole numbers from 1")
        if not isinstance(ranks, RankPolicy | None):
            raise TuckerlabError(f"ranks {ranks!r}: allowed are Tolerance(tau), Budget(compression) and Fixed()")
        self.ranks: RankPolicy = ranks or Fixed()
        self.adapt_every = int(adapt_every)
        self.steps = 0
        self._layers: list[list[TuckerLayer]] = []  # for each param group
        self._held: dict[TuckerLayer, Parameters] = {}
        self._plans: dict[int, tuple[Any, list[Batch]]] = {}  # for each param group, with what it was made for
        self._weights: dict[Weight, None] = {}  # kernels and matrices, in the order given
        self._kernels: dict[nn.Parameter | nn.Module, int] = {}  # of dense convolutions, with their numbers
        super().__init__(groups, defaults)
        trained, other = self._counted()  # a budget that cannot be met is refused here, not in the middle of a run
        self.ranks.choose(_flat_spectra(trained), other=other)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group whose "params" are a module, a parameter, or a list of them."""
        entries: Any = param_group["params"]
        entries = [entries] if isinstance(entries, Entry) else list(entries)
        layers = [layer for layer in tucker_layers(entries) if layer not in self._held]
        held = [p for layer in (*self._held, *layers) for p in layer.parts]
        if len(set(held)) < len(held):
            raise TuckerlabError(
                "two Tucker layers share a core or a factor: give each its own, or use one module twice"
            )
        parameters = parameters_of(entries, taken={p for group in self.param_groups for p in group["params"]})
        self._check_group({**self.defaults, **param_group})
        super().add_param_group({**param_group, "params": parameters})
        self._layers.append(layers)
        self._held.update((layer, layer.parts) for layer in layers)
        weights, kernels = weights_of(entries)
        self._weights.update(dict.fromkeys(weights))
        self._kernels.update(kernels)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of every parameter that has a gradient; every `adapt_every` steps, the ranks adapt.

        Raises DivergedError, before anything has moved, if a gradient is not finite (on a GPU, where looking costs
        time, at the next adaptation).
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._notice_replaced()
        self._check_gradients()
        with full_precision({p.device.type for group in self.param_groups for p in group["params"]}):
            for i, (group, layers) in enumerate(zip(self.param_groups, self._layers, strict=True)):
                tucker = {p for layer in layers for p in self._held[layer]}
                self._step_dense([p for p in group["params"] if p.grad is not None and p not in tucker], group)
                moving = [layer for layer in layers if any(p.grad is not None for p in self._held[layer])]
                for stack, together in self._batches(i, moving):
                    self._step_batch(stack, [self._held[layer] for layer in together], together[0].modes, group)
        self.steps += 1
        if self.steps % self.adapt_every == 0:
            self.adapt()
        return loss

    @torch.no_grad()
    def adapt(self, *, grow: bool = True) -> None:
        """Truncates every weight to the ranks that the policy chooses, then grows it by the policy's growth.

        `step` calls it. Call `adapt(grow=False)` once after training with a policy that grows: it drops the directions
        that have not proved themselves. Frozen weights stay as they are.
        """
        self._notice_replaced()
        pairs, other = self._counted()
        step = self.steps if grow else None
        _check_finite([layer for layer, _ in pairs])
        if not pairs or self.ranks.settled(_flat_spectra(pairs), step=step, other=other):
            return
        with full_precision({p.device.type for group in self.param_groups for p in group["params"]}):
            bases = [[left_singular(unfold(layer.core, mode)) for mode in layer.modes] for layer, _ in pairs]
            spectra = [
                Spectrum(layer.shape, layer.modes, tuple(values.cpu() for _, values in basis))
                for (layer, _), basis in zip(pairs, bases, strict=True)
            ]
            chosen = self.ranks.choose(spectra, step=step, other=other)
            for (layer, group), basis, ranks in zip(pairs, bases, chosen, strict=True):
                if ranks != layer.ranks:
                    self._move(layer, group, truncated(layer.point, ranks, [vectors for vectors, _ in basis]))
                larger = self.ranks.larger(layer.shape, layer.modes, ranks)
                if grow and larger != ranks and self.vectors[0] in self.state[layer.core]:
                    self._move(layer, group, grown(layer.point, self._tangent(layer, self.vectors[0]), larger))

    def state_dict(self) -> dict[str, Any]:
        """As in torch.optim, with the step count that the rank schedule runs on."""
        return {**super().state_dict(), "adaptation": {"steps": self.steps}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up a saved state; load the model's state first, since that sets the ranks."""
        self._notice_replaced()
        parameters = [p for group in self.param_groups for p in group["params"]]
        indices = [index for group in state_dict["param_groups"] for index in group["params"]]
        for index, parameter in zip(indices, parameters, strict=False):
            for value in state_dict["state"].get(index, {}).values():
                if not _fits(value, parameter):
                    raise CheckpointError(
                        f"the optimizer's state holds a tensor {tuple(value.shape)} where the model has a parameter "
                        f"{tuple(parameter.shape)}: load the model's own state_dict first, it sets the ranks"
                    )
        super().load_state_dict(state_dict)
        self._plans.clear()  # batches are of weights that have made the same number of steps
        self.steps = state_dict.get("adaptation", {"steps": 0})["steps"]

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: what torch.optim keeps, and ours; not the wrappers that schedulers put on `step`."""
        own = ("ranks", "adapt_every", "steps", "_layers", "_held", "_weights", "_kernels")
        return {**super().__getstate__(), **{name: self.__dict__[name] for name in own}, "_plans": {}}

    # --- what the optimizers differ in -------------------------------------------------------------------------------

    def _check_group(self, group: dict[str, Any]) -> None:
        """TuckerlabError for a setting out of range."""

    def _step_dense(self, parameters: Parameters, group: dict[str, Any]) -> None:
        raise NotImplementedError

    def _direction(
        self, point: Point, gradient: Tangent, state: State, group: dict[str, Any], count: float
    ) -> tuple[Tangent, State]:
        """The direction to step against at the `count`-th step, and the state after it has taken up the gradient.

        A pure function of one weight; it is mapped over many.
        """
        raise NotImplementedError

    # --- the step ----------------------------------------------------------------------------------------------------

    def _batches(self, index: int, layers: Sequence[TuckerLayer]) -> list[Batch]:
        """The layers of a param group in batches; made anew when ranks change or other layers have gradients."""
        key = [(layer, layer.core.shape, layer.core.dtype, layer.core.device) for layer in layers]
        if index not in self._plans or self._plans[index][0] != key:
            self._plans.pop(index, None)  # the old ones go first: they may be large
            steps = [int(self.state[layer.core].get("step", 0)) for layer in layers]
            self._plans[index] = key, batches(layers, steps)
        return self._plans[index][1]

    def _step_batch(
        self, stack: Stack, weights: Sequence[Parameters], modes: tuple[int, ...], group: dict[str, Any]
    ) -> None:
        """One step of the weights of a batch, each given as its core and factors: gather, `_moved`, scatter."""
        states = [[self.state[parameter] for parameter in parameters] for parameters in weights]
        names = (*self.vectors, *self.squares)
        count = states[0][0].get("step", torch.zeros((), device="cpu")) + 1  # on the host: nobody waits
        for parameters, own in zip(weights, states, strict=True):
            own[0]["step"] = count
            for parameter, state in zip(parameters, own, strict=True):
                state.update({name: torch.zeros_like(parameter) for name in names if name not in state})
        values = [[p.detach() for p in parameters] for parameters in weights]
        gradients = [[torch.zeros_like(p) if p.grad is None else p.grad for p in parameters] for parameters in weights]
        kept = [[[state[name] for state in own] for own in states] for name in names]

        def moved(weight: Sequence[Tensor], gradient: Sequence[Tensor], *state: Sequence[Tensor]) -> list[list[Tensor]]:
            point, tangents = Point(weight[0], tuple(weight[1:]), modes), map(Tangent.of, state)
            new, after = self._moved(point, gradient, dict(zip(names, tangents, strict=True)), group, float(count))
            return [list(new.parts), *(list(after[name].parts) for name in names)]

        step = moved if stack.weights == 1 else torch.vmap(moved)
        results = step(*map(stack.pack, (values, gradients, *kept)))
        for result, targets in zip(results, (values, *kept), strict=True):
            stack.unpack(result, into=targets)

    def _moved(
        self, point: Point, gradient: Sequence[Tensor], state: State, group: dict[str, Any], count: float
    ) -> tuple[Point, State]:
        """One weight and its state after a step along the gradient of its core and factors."""
        roots = mode_roots(point)
        tangent = project(point, gradient[0], gradient[1:], roots)
        direction, state = self._direction(point, tangent, state, group, count)
        new = retract(point, direction, float(group["lr"]), roots)
        if group["weight_decay"] is None:  # nothing else holds the norm, so it is kept
            norm, found = point.core.norm(), new.core.norm()
            new = new._replace(core=new.core * torch.where(norm > 0, norm / found.clamp(min=TINY), 1.0))
        return new, state | {name: carried(state[name], new) for name in self.vectors}

    def _move(self, layer: TuckerLayer, group: dict[str, Any], new: Point) -> None:
        """Makes `new`, a point of other ranks, the layer's weight, here and in the module, with its state."""
        transport = Transport(layer.point, mode_roots(layer.point), new, mode_roots(new))
        for names, carry in ((self.vectors, transport), (self.squares, transport.squares)):
            for name in names:
                if name in self.state[layer.core]:
                    parts = carry(self._tangent(layer, name)).parts
                    for parameter, value in zip(self._held[layer], parts, strict=True):
                        self.state[parameter][name] = value
        layer.assign(new)
        self._replace(layer, group)

    def _tangent(self, layer: TuckerLayer, name: str) -> Tangent:
        return Tangent.of([self.state[parameter][name] for parameter in self._held[layer]])

    def _counted(self) -> tuple[list[tuple[TuckerLayer, dict[str, Any]]], int]:
        """The layers whose ranks may change, with their groups; and the weights of all that a budget counts beside."""
        pairs = [(layer, group) for group, own in zip(self.param_groups, self._layers, strict=True) for layer in own]
        frozen = sum(layer.stored_numel for layer, _ in pairs if not layer.core.requires_grad)
        dense = sum(self._kernels.values())
        return [(layer, group) for layer, group in pairs if layer.core.requires_grad], dense + frozen

    # --- parameters that have been replaced --------------------------------------------------------------------------

    def _notice_replaced(self) -> None:
        """Whoever has given a layer new parameters (a checkpoint, a truncation by hand), they are the ones to train."""
        for group, layers in zip(self.param_groups, self._layers, strict=True):
            for layer in layers:
                if any(a is not b for a, b in zip(self._held[layer], layer.parts, strict=True)):
                    self._replace(layer, group)

    def _replace(self, layer: TuckerLayer, group: dict[str, Any]) -> None:
        new = dict(zip(self._held[layer], layer.parts, strict=True))
        group["params"][:] = [new.get(p, p) for p in group["params"]]
        states: dict[Tensor, Any] = {parameter: self.state.pop(old, {}) for old, parameter in new.items()}
        if all(_fits(value, p) for p, state in states.items() for value in state.values()):
            self.state.update(states)  # of a weight all of the state, or none
        self._held[layer] = layer.parts

    def _check_gradients(self) -> None:
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        on_host = [g for g in gradients if g.device.type == "cpu" and not g.is_sparse]
        if on_host and not torch.stack(torch._foreach_norm(on_host)).isfinite().all():
            raise DivergedError(
                f"a gradient is not finite at optimizer step {self.steps + 1}: nothing has been changed; lower the "
                "learning rate, warm it up, or clip gradients"
            )


def _fits(value: object, parameter: Tensor) -> bool:
    """Whether a value can be of a parameter's state: a number, or a tensor of its shape."""
    return not isinstance(value, Tensor) or value.dim() == 0 or value.shape == parameter.shape


def _flat_spectra(pairs: Sequence[tuple[TuckerLayer, dict[str, Any]]]) -> list[Spectrum]:
    """For questions in which the singular values do not matter."""
    return [Spectrum(m.shape, m.modes, tuple(torch.ones(rank) for rank in m.ranks)) for m, _ in pairs]


def _check_finite(layers: Sequence[TuckerLayer]) -> None:
    if not layers:
        return
    norms = torch._foreach_norm([layer.core.detach() for layer in layers])
    finite = torch.stack([norm.isfinite().to(norms[0].device) for norm in norms]).tolist()  # one wait for the device
    if not all(finite):
        layer = layers[finite.index(False)]
        raise DivergedError(f"the weight of {layer} is not finite: lower the learning rate, or clip gradients")
