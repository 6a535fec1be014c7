"""A GraphDef and its functions as scopes of nodes: what runs for an output, and where a value comes from."""

_INTERFACE = "api_implements"  # attribute of functions


class Scopes:
    """The nodes of a graph and of the functions in its library.

    A scope is named by its function; the graph itself is None.

    Args:
      graph_def: a GraphDef.

    Attributes:
      functions: {name: FunctionDef}.
      repeated: names that several functions have.
    """

    def __init__(self, graph_def):
        self.functions, self.repeated = {}, set()
        for function in graph_def.library.function:
            if function.signature.name in self.functions:
                self.repeated.add(function.signature.name)
            self.functions[function.signature.name] = function
        self._alternatives = {}
        for function in graph_def.library.function:
            if _INTERFACE in function.attr:
                self._alternatives.setdefault(function.attr[_INTERFACE].s, []).append(function.signature.name)
        self._nodes = {None: {node.name: node for node in graph_def.node}}
        self._graph_def = graph_def

    def all_nodes(self):
        """(scope, node) of all."""
        yield from ((None, node) for node in self._graph_def.node)
        for function in self._graph_def.library.function:
            yield from ((function.signature.name, node) for node in function.node_def)

    def reachable(self, outputs, functions):
        """What runs for outputs of the graph and for functions: (scope, node) of each such node.

        All nodes of a function count, whether its results depend on them or not.

        Args:
          outputs: names of nodes or tensors of the graph.
          functions: names of functions.
        """
        pending = [(None, _node_of(name)) for name in outputs]
        pending += [(name, None) for name in functions]
        seen, run = set(), []
        while pending:
            scope, name = key = pending.pop()
            if key in seen:
                continue
            seen.add(key)
            if scope is not None and name is None:
                pending += [(other, None) for other in self._exchangeable_with(scope)]
            for node in self._nodes_at(scope, name):
                run.append((scope, node))
                pending += [(called, None) for called in self._called_by(node)]
                if scope is None:
                    pending += [(None, _node_of(source)) for source in node.input]
        return run

    def comes_from(self, scope, tensor, source, depth=0):
        """Whether a value can be nothing but one of a source, passed on unchanged through identities and calls.

        Args:
          scope: of the node that takes the value.
          tensor: its input.
          source: has `run`, what `reachable` returned, among which the calls are; `is_source(name of a node of the
            graph)`; and `binds(FunctionDef, position of an argument)`, which is None if only calls give that argument.
        """
        name = _node_of(tensor)
        if depth > len(self.functions) + 1 or tensor.startswith("^"):
            return False
        if scope is None and source.is_source(name):
            return True
        arguments = [] if scope is None else [arg.name for arg in self.functions[scope].signature.input_arg]
        if name in arguments:
            return self._is_always_given(scope, arguments.index(name), source, depth)
        nodes = self._nodes_at(scope, name)
        return bool(nodes) and all(
            node.op == "Identity" and self.comes_from(scope, node.input[0], source, depth) for node in nodes
        )

    def _is_always_given(self, function, position, source, depth):
        """Whether each call, and each object, gives a value of the source to an argument of a function."""
        bound = source.binds(self.functions[function], position)
        if bound is False:
            return False
        for scope, node in source.run:
            if function not in self._called_by(node):
                continue
            is_plain_call = node.op in ("PartitionedCall", "StatefulPartitionedCall", function)
            if not is_plain_call or not self.comes_from(scope, node.input[position], source, depth + 1):
                return False
        return True

    def _exchangeable_with(self, name):
        """Functions that TensorFlow may run in place of another, because they claim the same interface."""
        function = self.functions.get(name)
        return self._alternatives[function.attr[_INTERFACE].s] if function and _INTERFACE in function.attr else []

    def _nodes_at(self, scope, name):
        """The node of that name in a scope, or all nodes of a function if the name is None."""
        if scope is None:
            return [self._nodes[None][name]] if name in self._nodes[None] else []
        nodes = self.functions[scope].node_def if scope in self.functions else ()
        return [node for node in nodes if name is None or node.name == name]

    def _called_by(self, node):
        """Names of the functions of the library that a node refers to."""
        names = {node.op}
        for value in node.attr.values():
            names.add(value.func.name)
            names.update(function.name for function in value.list.func)
        return names & self.functions.keys()


def _node_of(tensor):
    """The name of the node of a tensor or of a control input."""
    return tensor.removeprefix("^").partition(":")[0]
