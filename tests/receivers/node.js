// A receiver as it is often written: node:http and JSON.parse, two fields checked. Prints its URL, then serves.
const http = require("node:http");

const server = http.createServer((request, response) => {
  const answer = (status) => response.writeHead(status).end();
  if (request.method !== "POST") return answer(405);
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    let payload;
    try {
      payload = JSON.parse(Buffer.concat(parts).toString("utf8"));
    } catch {
      return answer(400);
    }
    if (typeof payload?.event !== "string" || typeof payload.data !== "object") return answer(422);
    answer(202);
  });
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/hook`));
