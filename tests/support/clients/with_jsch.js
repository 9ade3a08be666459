// Let JSch put a file, get it back and remove it, in Rhino. The arguments are as for programs.sh.
var keys = java.lang.System.getenv('KEYS');
var home = java.lang.System.getenv('HOME');
var words = Array.prototype.slice.call(arguments, 1);

function transfer(name, address, port, user, folder, auth) {
  var jsch = new com.jcraft.jsch.JSch();
  jsch.setKnownHosts(keys + '/known_hosts');
  if (auth === 'key') jsch.addIdentity(keys + '/' + java.lang.System.getenv('KEY'));
  var session = jsch.getSession(user, address, port);
  if (auth === 'password') session.setPassword(readFile(keys + '/password'));
  session.connect(20000);
  try {
    var sftp = session.openChannel('sftp');
    sftp.connect(20000);
    var file = folder + '/t-' + new java.io.File(home).getName();
    sftp.put(home + '/sent', file);
    sftp.get(file, home + '/' + name + '.back');
    sftp.rm(file);
  } finally {
    session.disconnect();
  }
}

while (words.length) {
  var target = words.splice(0, 7);
  try {
    transfer.apply(null, target);
  } catch (error) {
    print(target[0] + ': ' + error);
  }
}
java.lang.System.exit(0);
