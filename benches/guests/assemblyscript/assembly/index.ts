// Does what its configuration says, one word: `nothing`; `add` adds the response header `hello: world`; `read` reads all request headers.

// The callbacks that the host looks for: only those that this plugin needs, because of `dropLookup`.
export {
  free,
  malloc,
  proxy_abi_version_0_2_0,
  proxy_on_configure,
  proxy_on_context_create,
  proxy_on_delete,
  proxy_on_done,
  proxy_on_request_headers,
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

enum Work {
  Nothing,
  Add,
  Read,
}

// See examples/add-header/assemblyscript: a context that keeps the reference of a look-up is never freed.
function dropLookup(context: BaseContext): void {
  __release(changetype<usize>(context));
}

class Root extends RootContext {
  private work: Work = Work.Nothing;

  onConfigure(size: u32): bool {
    dropLookup(this);
    const word = String.UTF8.decode(get_buffer_bytes(BufferTypeValues.PluginConfiguration, 0, size));
    if (word == "add") this.work = Work.Add;
    else if (word == "read") this.work = Work.Read;
    else return word == "nothing";
    return true;
  }

  createContext(context_id: u32): Context {
    dropLookup(this);
    return new Filter(context_id, this, this.work);
  }
}

class Filter extends Context {
  constructor(context_id: u32, root: RootContext, private work: Work) {
    super(context_id, root);
  }

  onRequestHeaders(_headers: u32, _end_of_stream: bool): FilterHeadersStatusValues {
    dropLookup(this);
    if (this.work == Work.Read) assert(stream_context.headers.request.get_headers().length > 0);
    return FilterHeadersStatusValues.Continue;
  }

  onResponseHeaders(_headers: u32, _end_of_stream: bool): FilterHeadersStatusValues {
    dropLookup(this);
    if (this.work == Work.Add) stream_context.headers.response.add("hello", "world");
    return FilterHeadersStatusValues.Continue;
  }
}

registerRootContext((context_id: u32) => new Root(context_id), "bench");
