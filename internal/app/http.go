package app

import "net/http"

func (a *App) listenHTTP(string) error {
	listener, err := a.listen(ListenHTTP, a.Config.HTTPAddr)
	if err != nil || listener == nil {
		return err
	}
	a.serveHTTP(ListenHTTP, listener, http.NotFoundHandler())
	return nil
}
