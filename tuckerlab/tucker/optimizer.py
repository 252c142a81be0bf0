"""The optimizer on the manifold of Tucker tensors: step, adaptation cycle, and the replacement of parameters.

One ordinary backward pass gives ∂L/∂C and ∂L/∂U_i; `manifold.project` turns them into orthonormal coordinates of the
Riemannian gradient, a subclass keeps its momentum or moments in those coordinates, `manifold.retract` takes the step
and the state is `carried` along (`manifold.Transport`, where ranks change).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from tuckerlab.errors import DivergedError, TuckerlabError, check_number, check_whole
from tuckerlab.tucker import manifold
from tuckerlab.tucker.batched_step import Batch, Stack, batches
from tuckerlab.tucker.manifold import Parts, Point, Tangent, Transport, full_precision
from tuckerlab.tucker.param_group import Entry, Model, Weight, contents
from tuckerlab.tucker.rank_policy import Fixed, RankPolicy, Spectrum
from tuckerlab.tucker.weight import TuckerLayer

Parameters = Sequence[nn.Parameter]
Ranks = tuple[int, ...]
Group = dict[str, Any]  # of torch.optim: "params" and their settings
State = dict[str, Tangent]  # of one weight: its momentum or moments, by name
Update = tuple[Tangent, State]
# settings of param groups that are numbers from 0 to below these
BELOW = {"lr": inf, "momentum": 1, "betas": 1, "eps": inf, "weight_decay": inf, "sgd_scale": inf}


@dataclass(eq=False)
class LayerState:
    """A Tucker layer in an optimizer."""

    layer: TuckerLayer
    group: int  # of the param groups
    parts: tuple[nn.Parameter, ...]  # as last seen: a rank change or a checkpoint gives the layer new ones


class TuckerOptimizer(Optimizer):
    """What the optimizers share: the step, the adaptation cycle, and the replacement of parameters.

    `model` is a module, or a list of param groups whose "params" are modules or parameters; the core and the factors
    of a Tucker layer, which move together, belong in one group. Every `adapt_every` steps the weights are truncated to
    what `ranks` chooses and grown again where it says so; `ranks` may be exchanged at any time. A rank change replaces
    parameters, in the module and in the param groups, and DistributedDataParallel takes up the new ones. What else
    holds parameters by itself (a moving average) must be made anew after one, or be given `Fixed()` ranks.
    """

    # names of the state that is a tangent vector (the first drives growth), and of entrywise second moments
    vectors: ClassVar[tuple[str, ...]]
    squares: ClassVar[tuple[str, ...]] = ()
    evaluations: ClassVar[int] = 1  # of the gradient, in a step

    def __init__(self, model: Model, defaults: Group, ranks: RankPolicy | None, adapt_every: int) -> None:
        if not isinstance(ranks, RankPolicy | None):
            raise TuckerlabError(f"ranks {ranks!r}: allowed are Tolerance(tau), Budget(compression) and Fixed()")
        self.ranks: RankPolicy = ranks or Fixed()
        self.adapt_every, self.steps = check_whole("adapt_every", adapt_every, 1), 0
        self._layers: list[LayerState] = []
        self._weights: list[Weight] = []  # kernels and matrices, in the order given
        self._kernels = 0  # numbers in dense kernels
        self._batches: dict[int, tuple[Any, list[Batch]]] = {}  # of each param group, with what they were made for
        groups: list[Any] = [model] if isinstance(model, nn.Module) else list(model)
        super().__init__(groups, defaults)
        trained, other = self._counted()  # a budget that cannot be met is refused here, not in the middle of a run
        spectra = [Spectrum.flat(held.layer) for held in trained]
        self.ranks.choose(spectra, other=other)
        self.ranks.smallest_of(spectra, other=other)
        self._take_turns()

    def add_param_group(self, param_group: Group) -> None:
        """Adds a group whose "params" are a module, a parameter, or a list of them."""
        entries: Any = param_group["params"]
        parameters, weights, kernels = contents([entries] if isinstance(entries, Entry) else list(entries))
        layers = [weight for weight in weights if isinstance(weight, TuckerLayer)]
        parts = [part for layer in layers for part in layer.parts]
        if len(set(parts)) < len(parts):
            raise TuckerlabError("two Tucker layers share a core or a factor: give each its own, or use one twice")
        self._check_settings({**self.defaults, **param_group})
        super().add_param_group({**param_group, "params": parameters})
        index = len(self.param_groups) - 1
        self._layers += [LayerState(layer, index, layer.parts) for layer in layers]
        self._weights += weights
        self._kernels += kernels

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
            for index, group in enumerate(self.param_groups):
                self._step_dense(self._moving_dense(index), group)
                for stack, layers in self._moving_batches(index):
                    self._step_batch(stack, [(layer.point, layer.active) for layer in layers], group)
                    for layer in layers:
                        layer.keep_order()
                        layer.smallest = layer.smallest if self.ranks.is_nested else None
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
        if not _are_finite([held.layer.core for held in trained]):
            raise DivergedError("a Tucker weight is not finite: lower the learning rate, or clip gradients")
        if not trained or self.ranks.settled([Spectrum.flat(held.layer) for held in trained], step, other):
            return
        with full_precision(self._parameters()):
            spectra, bases = zip(*[Spectrum.of(held.layer) for held in trained], strict=True)
            chosen = self.ranks.choose(spectra, step, other)
            smallest = self.ranks.smallest_of(spectra, step, other)
            for held, basis, ranks, least in zip(trained, bases, chosen, smallest, strict=True):
                layer = held.layer
                if ranks != layer.ranks or least:  # nested directions are brought into their order
                    self._move(held, manifold.truncated(layer.point, ranks, basis))
                    layer.smallest, layer.active = least and tuple(map(min, ranks, least)), None
                larger = self.ranks.larger(layer.shape, layer.modes, ranks)
                if grow and larger != ranks and self.vectors[0] in self.state[layer.core]:
                    self._move(held, manifold.grown(layer.point, self._tangent(held, self.vectors[0]), larger))

    def state_dict(self) -> dict[str, Any]:
        """As in torch.optim, with the step count that the rank schedule runs on."""
        return {**super().state_dict(), "adaptation": {"steps": self.steps}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up a saved state, of the ranks that the model has in its own saved state."""
        self._notice_replaced()
        super().load_state_dict(state_dict)
        self._batches.clear()  # they are of weights that have made the same number of steps
        self.steps = state_dict.get("adaptation", {"steps": 0})["steps"]
        self._take_turns()

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: what torch.optim keeps, and ours; not the wrappers that schedulers put on `step`."""
        own = {name: vars(self)[name] for name in ("ranks", "adapt_every", "steps", "_layers", "_weights", "_kernels")}
        return {**super().__getstate__(), **own, "_batches": {}}

    # --- what the optimizers differ in --------------------------------------------------------------------------------

    def _step_dense(self, parameters: Parameters, group: Group) -> None:
        raise NotImplementedError

    def _direction(self, point: Point, gradient: Tangent, state: State, group: Group, count: float) -> Update:
        """The direction to step against at the `count`-th step, and the new state; pure, as vmap demands."""
        raise NotImplementedError

    # --- the step -----------------------------------------------------------------------------------------------------

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def _moving_dense(self, index: int) -> list[nn.Parameter]:
        """The dense parameters of a param group that have a gradient."""
        tucker = {part for held in self._layers for part in held.parts}
        return [p for p in self.param_groups[index]["params"] if p.grad is not None and p not in tucker]

    def _moving_batches(self, index: int) -> list[Batch]:
        """The layers of a param group that have a gradient, in batches; made anew when those or their ranks change."""
        held = [held.layer for held in self._layers if held.group == index]
        layers = [layer for layer in held if any(part.grad is not None for part in layer.parts)]
        key = [(layer, layer.trained.core.shape, layer.core.dtype, layer.core.device) for layer in layers]
        if index not in self._batches or self._batches[index][0] != key:
            self._batches.pop(index, None)  # the old ones go first: they may be large
            steps = [int(self.state[layer.core].get("step", 0)) for layer in layers]
            self._batches[index] = key, batches(layers, steps)
        return self._batches[index][1]

    def _step_batch(self, stack: Stack | None, weights: Sequence[tuple[Point, Ranks | None]], group: Group) -> None:
        """One step of the weights of a batch, in place; of each the ranks that take part (None: all)."""
        names, points = (*self.vectors, *self.squares), [point for point, _ in weights]
        count = self.state[points[0].core].get("step", torch.zeros((), device="cpu")) + 1  # on the host: nobody waits
        for point in points:
            self.state[point.core]["step"] = count
            for part in point.parts:
                self.state[part].update({n: torch.zeros_like(part) for n in names if n not in self.state[part]})

        def of_each(tensor: Callable[[Tensor], Tensor]) -> list[Parts]:
            return [Point.of([*map(tensor, p.parts)], p.modes).leading(ranks).parts for p, ranks in weights]

        def moved(weight: Parts, gradient: Parts, *kept: Parts) -> list[Parts]:
            state = dict(zip(names, map(tuple, kept), strict=True))
            new, state = self._moved(Point.of(weight, points[0].modes), gradient, state, group, float(count))
            return [new.parts, *(state[name] for name in names)]

        states = [of_each(lambda part: self.state[part][name]) for name in names]  # noqa: B023 (called at once)
        values, gradients = of_each(torch.detach), of_each(lambda p: torch.zeros_like(p) if p.grad is None else p.grad)
        given = [values, gradients, *states]
        results = stack.apply(moved, *given) if stack else moved(*(weight[0] for weight in given))
        for result, target in zip(results, [values, *states], strict=True):
            torch._foreach_copy_([part for parts in target for part in parts], list(result))

    def _moved(self, point: Point, gradient: Parts, state: State, group: Group, count: float) -> tuple[Point, State]:
        """One weight and its state after a step along the gradient of its core and factors."""
        roots = manifold.mode_roots(point)
        direction, state = self._direction(point, manifold.project(point, gradient, roots), state, group, count)
        new = manifold.retract(point, direction, float(group["lr"]), roots)
        return new, state | {name: manifold.carried(state[name], new) for name in self.vectors}

    def _take_turns(self) -> None:
        """The next step trains the size whose turn it is."""
        for layer in (held.layer for held in self._layers):
            is_nested = self.ranks.is_nested and layer.smallest
            layer.active = layer.ranks_at(self.ranks.turn(self.steps)) if is_nested else None

    # --- parameters that are replaced ---------------------------------------------------------------------------------

    def _move(self, held: LayerState, new: Point) -> None:
        """Makes `new`, of any ranks, the layer's weight, with its state."""
        transport = Transport(held.layer.point, new)
        for names, carry in ((self.vectors, transport), (self.squares, transport.squares)):
            for name in (name for name in names if name in self.state[held.layer.core]):
                for part, value in zip(held.parts, carry(self._tangent(held, name)), strict=True):
                    self.state[part][name] = value
        if new.core.shape == held.layer.core.shape:  # others, such as DistributedDataParallel, may hold the parameters
            torch._foreach_copy_(list(held.parts), list(new.parts))
            held.layer.zero_grad()  # gradients were of other directions
        else:
            held.layer.assign(new)
            self._notice_replaced()

    def _tangent(self, held: LayerState, name: str) -> Tangent:
        return tuple(self.state[part][name] for part in held.parts)

    def _notice_replaced(self) -> None:
        """Trains the parameters that layers have now, with the state of the old ones where it fits all of them."""
        for held in self._layers:
            new = dict(zip(held.parts, held.layer.parts, strict=True))
            if any(old is not part for old, part in new.items()):
                parameters = self.param_groups[held.group]["params"]
                parameters[:] = [new.get(p, p) for p in parameters]
                states: dict[Tensor, Any] = {part: self.state.pop(old, {}) for old, part in new.items()}
                if all(_fits(value, part) for part, state in states.items() for value in state.values()):
                    self.state.update(states)
                held.parts = held.layer.parts

    # --- what is counted and checked ----------------------------------------------------------------------------------

    def _counted(self) -> tuple[list[LayerState], int]:
        """The layers whose ranks may change; and the numbers that a budget counts beside."""
        trained = [held for held in self._layers if held.layer.core.requires_grad]
        frozen = sum(held.layer.stored_numel for held in self._layers if held not in trained)
        return trained, frozen + self._kernels

    def _check_settings(self, settings: Group) -> None:
        for name, top in BELOW.items():
            given = settings.get(name, 0.0)
            for value in given if isinstance(given, tuple) else [given]:
                check_number(name, value.item() if isinstance(value, Tensor) else value, 0, below=top)

    def _check_gradients(self) -> None:
        gradients = [p.grad for p in self._parameters() if p.grad is not None]
        if not _are_finite([g for g in gradients if g.device.type == "cpu" and not g.is_sparse]):
            raise DivergedError(
                f"a gradient is not finite at optimizer step {self.steps + 1}: nothing has been changed; lower the "
                "learning rate, warm it up, or clip gradients"
            )


def _fits(value: object, parameter: Tensor) -> bool:
    """Whether a value can be of a parameter's state: a number, or a tensor of its shape."""
    return not isinstance(value, Tensor) or value.dim() == 0 or value.shape == parameter.shape


def _are_finite(tensors: list[Tensor]) -> bool:
    """Whether all are, with one wait for the device."""
    norms = torch._foreach_norm(tensors) if tensors else ()
    return not norms or bool(torch.stack([norm.to(norms[0].device) for norm in norms]).isfinite().all())
