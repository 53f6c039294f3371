// gRPC by hand, over Node's own HTTP/2: it needs nothing that an image holds beside Node.
import { readFileSync } from 'node:fs';
import { connect } from 'node:http2';

const file = (name) => (process.env[name] ? readFileSync(process.env[name]) : undefined);
const [ca, cert, key] = ['CA', 'CERT', 'KEY'].map((part) => file(`EMOTUNE_TLS_${part}_FILE`));
const scheme = cert ? 'https' : 'http';
const token = String(file('EMOTUNE_TOKEN_FILE')).trim();

/** Calls a unary method with an empty message. @returns The bytes of its answer. */
function call(address, path) {
  return new Promise((resolve, reject) => {
    const session = connect(`${scheme}://${address}`, { ca, cert, key });
    const end = (settle, value) => {
      session.destroy();
      settle(value);
    };
    session.once('error', (error) => end(reject, error));
    session.setTimeout(10_000, () => end(reject, new Error('no answer within ten seconds')));
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      authorization: `Bearer ${token}`,
    });
    const pieces = [];
    let status;
    const told = (headers) => {
      if ('grpc-status' in headers) status = headers;
    };
    stream.on('response', told).on('trailers', told);
    stream.on('data', (piece) => pieces.push(piece));
    stream.once('error', (error) => end(reject, error));
    stream.once('end', () => {
      if (status?.['grpc-status'] === '0') return end(resolve, Buffer.concat(pieces).subarray(5));
      const message = decodeURIComponent(status?.['grpc-message'] ?? 'no status');
      end(reject, new Error(`status ${status?.['grpc-status']}: ${message}`));
    });
    // Not compressed, no bytes.
    stream.end(Buffer.alloc(5));
  });
}

async function serves(address) {
  const answer = await call(address, '/grpc.health.v1.Health/Check');
  // HealthCheckResponse.status, SERVING.
  if (!answer.equals(Buffer.from([8, 1]))) throw new Error('it does not serve yet');
}

const services = process.env.SERVICES.split(',').map((entry) => entry.split('='));
const checks = services.map(([area, address]) => [`${area} serves`, () => serves(address)]);
const [, data] = services.find(([area]) => area === 'data');
checks.push(['data sets are listed', () => call(data, '/emotune.data.v1.DatasetService/ListDatasets')]);

for (const [name, check] of checks) {
  try {
    await check();
    process.stdout.write(`ok      ${name}\n`);
  } catch (error) {
    process.stdout.write(`failed  ${name}: ${error.message}\n`);
    process.exitCode = 1;
  }
}
