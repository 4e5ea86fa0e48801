"""The MCP server on the SDK's low-level `Server`: which methods exist and what they answer."""

from __future__ import annotations

from typing import Any

import mcp_types as types
from mcp.server import NotificationOptions, Server
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.models import InitializationOptions
from mcp.shared.exceptions import MCPError
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from .. import __version__
from ..wire.errors import RelayError
from . import guide
from .calls import call_tool
from .client import Client

Context = ServerRequestContext[Client, Any]

NAME = "relay-shell"

TTL_MS = 60_000
"""Milliseconds for which a client may keep a list; a change of access is announced as well."""

LIST_WAIT = 2.0
"""Seconds for which tools/list waits for the broker before it shows every tool."""

VERSIONS = [*reversed(MODERN_PROTOCOL_VERSIONS), *reversed(HANDSHAKE_PROTOCOL_VERSIONS)]


def build() -> tuple[Server[Client], InitializationOptions]:
    """The server that all connections share, and its answer to `initialize`.

    A handler's lifespan context is the connection it serves.
    """
    hint = CacheHint(ttl_ms=TTL_MS, scope="private")
    server: Server[Client] = Server(
        NAME,
        version=__version__,
        title="relay-shell",
        instructions=guide.INSTRUCTIONS,
        cache_hints={"server/discover": hint, "tools/list": hint, "prompts/list": hint},
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,  # type: ignore[arg-type]  # a mapping is shaped by the SDK too
        on_list_prompts=_list_prompts,
        on_get_prompt=_get_prompt,
        on_subscriptions_listen=_listen,
    )
    # No exporter is installed, and a span a message is a fifth of the cost of a call.
    server.middleware.clear()

    async def discover(ctx: Context, params: types.RequestParams) -> types.DiscoverResult:
        return types.DiscoverResult(
            supported_versions=VERSIONS,
            capabilities=server.get_capabilities(protocol_version=ctx.protocol_version),
            instructions=guide.INSTRUCTIONS,
        )

    server.add_request_handler("server/discover", types.RequestParams, discover)
    return server, server.create_initialization_options(NotificationOptions(tools_changed=True))


async def _list_tools(
    ctx: Context, params: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    _first_page(params)
    client = ctx.lifespan_context
    try:
        await client.ready(LIST_WAIT)
    except RelayError:
        # A list grants nothing, and a client without tools would not come back to ask.
        return client.catalogue.list(client.catalogue.all)
    client.prepare()
    return client.catalogue.list(client.tools)


async def _call_tool(ctx: Context, params: types.CallToolRequestParams) -> dict[str, Any]:
    client = ctx.lifespan_context
    exchange = client.session.exchanges[ctx.request_id]
    exchange.reached = True
    return await call_tool(client, exchange, params.name, params.arguments or {})


async def _list_prompts(
    ctx: Context, params: types.PaginatedRequestParams | None
) -> types.ListPromptsResult:
    _first_page(params)
    prompt = types.Prompt(
        name=guide.PROMPT, title=guide.PROMPT_TITLE, description=guide.PROMPT_DESCRIPTION
    )
    return types.ListPromptsResult(prompts=[prompt])


async def _get_prompt(ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
    client = ctx.lifespan_context
    if params.name != guide.PROMPT:
        await client.reject_quietly("unknown prompt", "", params.name)
        raise MCPError(code=types.INVALID_PARAMS, message=f"no prompt named {params.name[:256]!r}")
    try:
        await client.observe("prompt", params.name)
    except RelayError as error:
        raise MCPError(
            code=types.INTERNAL_ERROR,
            message=f"{error.kind}: {error.message}",
            data={"kind": error.kind, "nextStep": error.next_step},
        ) from None
    return types.GetPromptResult(
        description=guide.PROMPT_DESCRIPTION,
        messages=[
            types.PromptMessage(
                role="user", content=types.TextContent(type="text", text=guide.GUIDE)
            )
        ],
    )


async def _listen(
    ctx: Context, params: types.SubscriptionsListenRequestParams
) -> types.SubscriptionsListenResult:
    return await ctx.lifespan_context.listener(ctx, params)


def _first_page(params: types.PaginatedRequestParams | None) -> None:
    if params is not None and params.cursor is not None:
        raise MCPError(code=types.INVALID_PARAMS, message="no such cursor: everything is one page")
