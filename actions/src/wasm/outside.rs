//! Notes that a guest asked for files or the network, which hooks do not have.
//!
//! A language runtime tells its program that a file is not there or a name does not resolve, and a hook
//! that gives up over this repeats it. Its author is to read what hooks cannot have at all.

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sockets::{
    instance_network, tcp_create_socket, udp_create_socket,
};
use wasmtime_wasi::p2::{Network, SocketError, SocketResult, TcpSocket, UdpSocket};
use wasmtime_wasi::sockets::WasiSocketsView as _;

use super::session::State;

/// What follows the message of a hook that gave up after it had asked.
pub(super) const NOTE: &str = "hooks have no files and no network";

/// Puts the notes in front of WASI's own functions. Every file is opened below a directory that
/// `get-directories` gives, every connection begins with a socket, and every look-up of a name takes the
/// handle that `instance-network` gives.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    preopens::add_to_linker::<State, HasNoting>(linker, noting)?;
    instance_network::add_to_linker::<State, HasNoting>(linker, noting)?;
    tcp_create_socket::add_to_linker::<State, HasNoting>(linker, noting)?;
    udp_create_socket::add_to_linker::<State, HasNoting>(linker, noting)?;
    linker.allow_shadowing(false);
    Ok(())
}

struct Noting<'a>(&'a mut State);

fn noting(state: &mut State) -> Noting<'_> {
    Noting(state)
}

struct HasNoting;

impl HasData for HasNoting {
    type Data<'a> = Noting<'a>;
}

impl preopens::Host for Noting<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        self.0.asked_outside = true;
        preopens::Host::get_directories(&mut self.0.filesystem())
    }
}

impl instance_network::Host for Noting<'_> {
    fn instance_network(&mut self) -> wasmtime::Result<Resource<Network>> {
        self.0.asked_outside = true;
        instance_network::Host::instance_network(&mut self.0.sockets())
    }
}

impl tcp_create_socket::Host for Noting<'_> {
    fn create_tcp_socket(&mut self, of: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        self.0.asked_outside = true;
        tcp_create_socket::Host::create_tcp_socket(&mut self.0.sockets(), of)
    }
}

impl udp_create_socket::Host for Noting<'_> {
    async fn create_udp_socket(
        &mut self,
        of: IpAddressFamily,
    ) -> SocketResult<Resource<UdpSocket>> {
        self.0.asked_outside = true;
        udp_create_socket::Host::create_udp_socket(&mut self.0.sockets(), of).await
    }
}

impl network::HostNetwork for Noting<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.0.sockets(), network)
    }
}

impl network::Host for Noting<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        network::Host::convert_error_code(&mut self.0.sockets(), error)
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        network::Host::network_error_code(&mut self.0.sockets(), error)
    }
}
