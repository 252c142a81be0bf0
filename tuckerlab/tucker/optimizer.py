"""The optimizer on the manifold of Tucker tensors: step, adaptation cycle, and the replacement of parameters.

One ordinary backward pass gives ∂L/∂C and ∂L/∂U_i; `manifold.project` turns them into orthonormal coordinates of the
Riemannian gradient, a subclass keeps its momentum or moments in those coordinates, `manifold.retract` takes the step
and the state is `carried` along (`rank_change.Transport`, where ranks change).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from tuckerlab.errors import CheckpointError, DivergedError, TuckerlabError, is_whole
from tuckerlab.tucker.batched_step import Batch, Stack, batches, step_batch
from tuckerlab.tucker.groups import Entry, Model, Weight, parameters_of, tucker_layers, weights_of
from tuckerlab.tucker.manifold import Point, Tangent, carried, full_precision, mode_roots, project, retract
from tuckerlab.tucker.rank_change import Transport, grown, truncated
from tuckerlab.tucker.rank_policy import Fixed, RankPolicy, Spectrum
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
        if not is_whole(adapt_every) or adapt_every < 1:
            raise TuckerlabError(f"adapt_every {adapt_every}: allowed are whole numbers from 1")
        if not isinstance(ranks, RankPolicy | None):
            raise TuckerlabError(f"ranks {ranks!r}: allowed are Tolerance(tau), Budget(compression) and Fixed()")
        self.ranks: RankPolicy = ranks or Fixed()
        self.adapt_every = int(adapt_every)
        self.steps = 0
        self._held: list[dict[TuckerLayer, Parameters]] = []  # of each param group: its layers, with what it trains
        self._weights: dict[Weight, None] = {}  # kernels and matrices, in the order given
        self._kernels: dict[nn.Parameter | nn.Module, int] = {}  # of dense convolutions, with their numbers
        self._plans: dict[int, tuple[Any, list[Batch]]] = {}  # for each param group, with what it was made for
        groups: list[Any] = [model] if isinstance(model, nn.Module) else list(model)
        super().__init__(groups, defaults)
        trained, other = self._counted()  # a budget that cannot be met is refused here, not in the middle of a run
        self.ranks.choose(_flat_spectra(trained), other=other)
        self.ranks.smallest_of(_flat_spectra(trained), other=other)
        self._take_turns()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group whose "params" are a module, a parameter, or a list of them."""
        entries: Any = param_group["params"]
        entries = [entries] if isinstance(entries, Entry) else list(entries)
        known = {layer for held in self._held for layer in held}
        layers = [layer for layer in tucker_layers(entries) if layer not in known]
        parts = [p for layer in (*known, *layers) for p in layer.parts]
        if len(set(parts)) < len(parts):
            raise TuckerlabError(
                "two Tucker layers share a core or a factor: give each its own, or use one module twice"
            )
        parameters = parameters_of(entries, taken=set(self._parameters()))
        self._check_group({**self.defaults, **param_group})
        super().add_param_group({**param_group, "params": parameters})
        self._held.append({layer: layer.parts for layer in layers})
        weights, kernels = weights_of(entries)
        self._weights |= dict.fromkeys(weights)
        self._kernels |= kernels

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
        with full_precision(self._parameters()):
            for index, (group, held) in enumerate(zip(self.param_groups, self._held, strict=True)):
                self._step_dense(self._moving_dense(index), group)
                moving = [layer for layer in held if any(part.grad is not None for part in layer.parts)]
                for stack, layers in self._batches(index, moving):
                    parts, active = [layer.parts for layer in layers], [layer.active for layer in layers]
                    self._step_batch(stack, parts, layers[0].modes, group, active)
                    for layer in layers:
                        layer.keep_order(nested=self.ranks.turn(self.steps) is not None)
        self.steps += 1
        if self.steps % self.adapt_every == 0:
            self.adapt()
        self._take_turns()
        return loss

    @torch.no_grad()
    def adapt(self, *, grow: bool = True) -> None:
        """Truncates every weight to the ranks that the policy chooses, then grows it by the policy's growth.

        `step` calls it. Call `adapt(grow=False)` once after training with a policy that grows: it drops the directions
        that have not proved themselves. Frozen weights stay as they are.
        """
        self._notice_replaced()
        trained, other = self._counted()
        step = self.steps if grow else None
        if not all(finite := _are_finite([layer.core.detach() for layer, _ in trained])):
            layer = trained[finite.index(False)][0]
            raise DivergedError(f"the weight of {layer} is not finite: lower the learning rate, or clip gradients")
        if not trained or self.ranks.settled(_flat_spectra(trained), step=step, other=other):
            return
        with full_precision(self._parameters()):
            spectra, bases = zip(*[Spectrum.of(layer) for layer, _ in trained], strict=True)
            chosen = self.ranks.choose(spectra, step=step, other=other)
            inner = [s.leading(m.smallest or m.ranks) for s, (m, _) in zip(spectra, trained, strict=True)]
            smallest = self.ranks.smallest_of(inner, step=step, other=other)
            for (layer, index), basis, ranks, least in zip(trained, bases, chosen, smallest, strict=True):
                if ranks != layer.ranks or least:  # nested directions are brought into their order
                    self._move(layer, index, truncated(layer.point, ranks, basis))
                    layer.smallest, layer.active = least and tuple(map(min, ranks, least)), None
                larger = self.ranks.larger(layer.shape, layer.modes, ranks)
                if grow and larger != ranks and self.vectors[0] in self.state[layer.core]:
                    self._move(layer, index, grown(layer.point, self._tangent(layer, self.vectors[0]), larger))

    def state_dict(self) -> dict[str, Any]:
        """As in torch.optim, with the step count that the rank schedule runs on."""
        return {**super().state_dict(), "adaptation": {"steps": self.steps}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up a saved state; load the model's state first, since that sets the ranks."""
        self._notice_replaced()
        indices = [index for group in state_dict["param_groups"] for index in group["params"]]
        for index, parameter in zip(indices, self._parameters(), strict=False):
            for value in state_dict["state"].get(index, {}).values():
                if not _fits(value, parameter):
                    raise CheckpointError(
                        f"the optimizer's state holds a tensor {tuple(value.shape)} where the model has a parameter "
                        f"{tuple(parameter.shape)}: load the model's own state_dict first, it sets the ranks"
                    )
        super().load_state_dict(state_dict)
        self._plans.clear()  # batches are of weights that have made the same number of steps
        self.steps = state_dict.get("adaptation", {"steps": 0})["steps"]
        self._take_turns()

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: what torch.optim keeps, and ours; not the wrappers that schedulers put on `step`."""
        own = {name: self.__dict__[name] for name in ("ranks", "adapt_every", "steps", "_held", "_weights", "_kernels")}
        return {**super().__getstate__(), **own, "_plans": {}}

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

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def _moving_dense(self, index: int) -> list[nn.Parameter]:
        """The dense parameters of a param group that have a gradient."""
        tucker = {part for layer in self._held[index] for part in layer.parts}
        return [p for p in self.param_groups[index]["params"] if p.grad is not None and p not in tucker]

    def _batches(self, index: int, layers: Sequence[TuckerLayer]) -> list[Batch]:
        """The layers of a param group in batches; made anew when ranks change or other layers have gradients."""
        key = [(layer, layer.trained.core.shape, layer.core.dtype, layer.core.device) for layer in layers]
        if index not in self._plans or self._plans[index][0] != key:
            self._plans.pop(index, None)  # the old ones go first: they may be large
            steps = [int(self.state[layer.core].get("step", 0)) for layer in layers]
            self._plans[index] = key, batches(layers, steps)
        return self._plans[index][1]

    def _step_batch(
        self,
        stack: Stack,
        weights: Sequence[Parameters],
        modes: tuple[int, ...],
        group: dict[str, Any],
        active: Sequence[tuple[int, ...] | None] = (None,),
    ) -> None:
        """One step of the weights of a batch, each given as its core and factors, at the `active` ranks of each."""
        states = [[self.state[parameter] for parameter in parameters] for parameters in weights]
        names = (*self.vectors, *self.squares)
        step_batch(stack, weights, states, names, modes, active, partial(self._moved, group=group))

    def _moved(
        self, point: Point, gradient: Sequence[Tensor], state: State, count: float, group: dict[str, Any]
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

    def _take_turns(self) -> None:
        """The next step trains the size whose turn it is."""
        way = self.ranks.turn(self.steps)
        for layer in (layer for held in self._held for layer in held):
            layer.active = layer.ranks_at(way) if layer.smallest and way is not None else None

    # --- parameters that are replaced --------------------------------------------------------------------------------

    def _move(self, layer: TuckerLayer, index: int, new: Point) -> None:
        """Makes `new` the layer's weight, with its state; of other ranks in new parameters, here and in the module."""
        transport = Transport(layer.point, mode_roots(layer.point), new, mode_roots(new))
        for names, carry in ((self.vectors, transport), (self.squares, transport.squares)):
            for name in (name for name in names if name in self.state[layer.core]):
                parts = carry(self._tangent(layer, name)).parts
                for parameter, value in zip(layer.parts, parts, strict=True):
                    self.state[parameter][name] = value
        if new.core.shape == layer.core.shape:
            torch._foreach_copy_(list(layer.parts), list(new.parts))
            layer.zero_grad()  # gradients were of other directions
        else:
            layer.assign(new)
            self._replace(layer, index)

    def _tangent(self, layer: TuckerLayer, name: str) -> Tangent:
        return Tangent.of([self.state[part][name] for part in layer.parts])

    def _notice_replaced(self) -> None:
        """Whoever has given a layer new parameters (a checkpoint, a truncation by hand), they are the ones to train."""
        for index, held in enumerate(self._held):
            for layer, parts in held.items():
                if any(old is not new for old, new in zip(parts, layer.parts, strict=True)):
                    self._replace(layer, index)

    def _replace(self, layer: TuckerLayer, index: int) -> None:
        new = dict(zip(self._held[index][layer], layer.parts, strict=True))
        parameters = self.param_groups[index]["params"]
        parameters[:] = [new.get(p, p) for p in parameters]
        states: dict[Tensor, Any] = {parameter: self.state.pop(old, {}) for old, parameter in new.items()}
        if all(_fits(value, p) for p, state in states.items() for value in state.values()):
            self.state.update(states)  # of a weight all of the state, or none
        self._held[index][layer] = layer.parts

    # --- what is counted and checked ---------------------------------------------------------------------------------

    def _counted(self) -> tuple[list[tuple[TuckerLayer, int]], int]:
        """The layers whose ranks may change, with their param groups; and the numbers that a budget counts beside."""
        layers = [(layer, index) for index, held in enumerate(self._held) for layer in held]
        frozen = sum(layer.stored_numel for layer, _ in layers if not layer.core.requires_grad)
        trained = [(layer, index) for layer, index in layers if layer.core.requires_grad]
        return trained, frozen + sum(self._kernels.values())

    def _check_gradients(self) -> None:
        gradients = [p.grad for p in self._parameters() if p.grad is not None]
        if not all(_are_finite([g for g in gradients if g.device.type == "cpu" and not g.is_sparse])):
            raise DivergedError(
                f"a gradient is not finite at optimizer step {self.steps + 1}: nothing has been changed; lower the "
                "learning rate, warm it up, or clip gradients"
            )


def _fits(value: object, parameter: Tensor) -> bool:
    """Whether a value can be of a parameter's state: a number, or a tensor of its shape."""
    return not isinstance(value, Tensor) or value.dim() == 0 or value.shape == parameter.shape


def _flat_spectra(trained: Sequence[tuple[TuckerLayer, int]]) -> list[Spectrum]:
    """For questions in which the singular values do not matter."""
    return [Spectrum(m.shape, m.modes, tuple(torch.ones(rank) for rank in m.ranks)) for m, _ in trained]


def _are_finite(tensors: list[Tensor]) -> list[bool]:
    """Which of them are, with one wait for the device."""
    norms = torch._foreach_norm(tensors) if tensors else ()
    return torch.stack([norm.to(norms[0].device) for norm in norms]).isfinite().tolist() if norms else []
