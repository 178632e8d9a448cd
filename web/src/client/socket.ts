// The WebSocket of a session, reduced to the part that connections use, so that tests can replace
// it.

import type { Command } from "../protocol/commands.ts";
import { SUBPROTOCOL } from "../protocol/decode.ts";

export interface Socket {
  onopen: (() => void) | null;
  onclose: ((event: { reason: string }) => void) | null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null;
  send(data: Command): void;
  close(): void;
}

/** Opens a subscriber session at a hub. */
export function openSocket(url: string): Socket {
  const socket = new WebSocket(url, SUBPROTOCOL);
  socket.binaryType = "arraybuffer";
  return socket as Socket;
}
