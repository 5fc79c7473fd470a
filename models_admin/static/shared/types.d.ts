// The types of the pages' scripts: what the server sends and takes (schema.d.ts, which is generated), and what only pages know.

import type {
  ChatEvent,
  ChatFrame,
  Edit,
  Feedback,
  Judge,
  ModelsEvent,
  ReasoningDelta,
  Send,
  TextDelta,
} from "./schema.d.ts";

export type * from "./schema.d.ts";

export type SocketEvent = ModelsEvent | ChatEvent;

export type Thumbs = Feedback["thumb"];

export type Better = NonNullable<Judge["better"]>;

export type DeltaEvent = TextDelta | ReasoningDelta;

/** A frame that is kept until it is acknowledged; `refused`: why the server did not take it. */
export type KeptFrame = (Send | Edit) & { refused?: string };

export type Frame = ChatFrame | KeptFrame;

/** How a socket stands. */
export type SocketState =
  | { is: "open" }
  | { is: "doubtful"; heard: Date }
  | { is: "lost"; retryIn: number; tries: number; flooded: boolean }
  | { is: "refused"; reason: string }
  | { is: "signed-out" | "gone" };
