// A plant on node-opcua: `node server.js PORT TAGS PERIOD_MS HOME URI...`
//
// Every PERIOD_MS all tags change at once; tag i then shows i * 1e7 + tick, so that a value
// names its tag and its change. Each change is printed as "tick N MS" after it was made.
// The last URI is the plant's; the order of the URIs is the order of the namespaces.
"use strict";
const path = require("path");
const { OPCUAServer } = require("node-opcua-server");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

const [port, tags, period, home, plant, ...uris] = process.argv.slice(2);

async function main() {
  const manager = new OPCUACertificateManager({ rootFolder: path.join(home, "pki") });
  await manager.initialize();
  const server = new OPCUAServer({
    port: Number(port),
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    alternateHostname: ["127.0.0.1"],
    serverCertificateManager: manager,
    userCertificateManager: manager,
    certificateFile: path.join(home, "certificate.pem"),
    serverInfo: { applicationUri: "urn:peer:node-opcua" },
    allowAnonymous: true,
    serverCapabilities: { operationLimits: { maxMonitoredItemsPerCall: 100, maxNodesPerRead: 70 } },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  for (const uri of uris) space.registerNamespace(uri);
  const namespace = space.getNamespace(plant);
  // A decoy in every other namespace: the same identifiers, values that belong to no tag.
  for (const uri of uris.filter((uri) => uri !== plant)) {
    for (let i = 0; i < Number(tags); i++) make(space.getNamespace(uri), i, -1);
  }
  const variables = [];
  for (let i = 0; i < Number(tags); i++) variables.push(make(namespace, i, i * 1e7));
  // A folder for each hundred: adding to a large one takes node-opcua longer and longer.
  function folder(where, i) {
    const name = `f${Math.floor(i / 100)}`;
    const node = where.findNode(`s=${name}`);
    const objects = space.rootFolder.objects;
    return node || where.addFolder(objects, { browseName: name, nodeId: `s=${name}` });
  }
  function make(where, i, value) {
    return where.addVariable({
      organizedBy: folder(where, i),
      browseName: `t${i}`,
      nodeId: `s=t${i}`,
      dataType: "Double",
      value: { dataType: "Double", value },
    });
  }
  await server.start();
  console.log("listening");
  setInterval(() => {
    const now = Date.now();
    const tick = Math.floor(now / Number(period)) % 1e7;
    const at = new Date(now);
    variables.forEach((variable, i) =>
      variable.setValueFromSource({ dataType: "Double", value: i * 1e7 + tick }, undefined, at)
    );
    console.log(`tick ${tick} ${now}`);
  }, Number(period));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
