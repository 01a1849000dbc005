// Adds the response header `hello` with the plugin's configuration, or `world!` when that is empty.

// The callbacks that the host looks for: only those that this plugin needs, because of `dropLookup`.
export {
  free,
  malloc,
  proxy_abi_version_0_2_0,
  proxy_on_configure,
  proxy_on_context_create,
  proxy_on_delete,
  proxy_on_done,
  proxy_on_response_headers,
} from "@solo-io/proxy-runtime/proxy";

import {
  BaseContext,
  Context,
  FilterHeadersStatusValues,
  registerRootContext,
  RootContext,
  stream_context,
} from "@solo-io/proxy-runtime";
import { BufferTypeValues, get_buffer_bytes } from "@solo-io/proxy-runtime/runtime";

// The SDK finds the context of a callback with a checked cast, `context_map.get(id) as Context`. AssemblyScript 0.14
// counts a reference too many for each such cast, and a context that keeps one is never freed. So every callback drops
// it, except `onDone` and `onDelete`, whose context needs no cast.
function dropLookup(context: BaseContext): void {
  __release(changetype<usize>(context));
}

class AddHeaderRoot extends RootContext {
  private hello: string = "";

  // Not the SDK's, which has the host write to the address `size`, whatever lies there.
  onConfigure(size: u32): bool {
    dropLookup(this);
    this.hello = String.UTF8.decode(get_buffer_bytes(BufferTypeValues.PluginConfiguration, 0, size));
    if (this.hello == "") this.hello = "world!";
    return true;
  }

  createContext(context_id: u32): Context {
    dropLookup(this);
    return new AddHeader(context_id, this, this.hello);
  }
}

class AddHeader extends Context {
  constructor(context_id: u32, root: RootContext, private hello: string) {
    super(context_id, root);
  }

  onResponseHeaders(_headers: u32, _end_of_stream: bool): FilterHeadersStatusValues {
    dropLookup(this);
    stream_context.headers.response.add("hello", this.hello);
    return FilterHeadersStatusValues.Continue;
  }
}

registerRootContext((context_id: u32) => new AddHeaderRoot(context_id), "add_header");
