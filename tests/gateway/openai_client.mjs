// @ts-check
// A program with OpenAI's own package for JavaScript: asks for a chat, and writes what it is told, one JSON a line.
//   node openai_client.mjs URL BODY HEADERS     with the token in OPENAI_API_KEY
// It says that it is ready, and asks when its input ends.
import { text } from "node:stream/consumers";
import OpenAI from "openai";

const [baseURL, body, headers] = process.argv.slice(2);

/** @param {object} told */
const tell = (told) => process.stdout.write(`${JSON.stringify(told)}\n`);

/** @type {typeof fetch} */
const watched = async (...asked) => {
  const answer = await fetch(...asked);
  tell({ status: answer.status, retryAfter: answer.headers.get("retry-after") });
  return answer;
};
const client = new OpenAI({ baseURL, fetch: watched, maxRetries: 5 });
process.stdout.write("ready\n");
await text(process.stdin);
/** @type {OpenAI.ChatCompletionCreateParams} */
const asked = JSON.parse(body);
const answer = await client.chat.completions.create(asked, { headers: JSON.parse(headers) });
if ("choices" in answer) {
  tell({ model: answer.model, text: answer.choices[0].message.content });
} else {
  for await (const chunk of answer) {
    tell({ model: chunk.model, text: chunk.choices[0]?.delta.content ?? "" });
  }
}
